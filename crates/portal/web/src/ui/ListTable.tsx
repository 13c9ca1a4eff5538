/** A list as a table, or why there is none: it could not be loaded, or nothing is in it. */
import type { UseQueryResult } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { en } from '../text/en'
import { ProblemNote } from './parts'

type ListTableProps<T> = {
  list: UseQueryResult<T[]>
  /** What of the list is shown, where that is not all of it. */
  items?: T[] | undefined
  empty: ReactNode
  headings: string[]
  /** Whether a last column holds buttons: its heading is for screen readers only. */
  acts?: boolean
  /** A row: a `tr` with its key. */
  children: (item: T) => ReactNode
}

export function ListTable<T>({ list, items = list.data, empty, headings, acts, children }: ListTableProps<T>) {
  return (
    <>
      {list.isError && <ProblemNote error={list.error} onRetry={() => void list.refetch()} />}
      {items?.length === 0 && empty}
      {items && items.length > 0 && (
        <div className="card">
          <table className="table fold">
            <thead>
              <tr>
                {headings.map(it => (
                  <th key={it}>{it}</th>
                ))}
                {acts && (
                  <th>
                    <span className="visually-hidden">{en.common.more}</span>
                  </th>
                )}
              </tr>
            </thead>
            <tbody>{items.map(children)}</tbody>
          </table>
        </div>
      )}
    </>
  )
}
