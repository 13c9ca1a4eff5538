/** A server's folders as a tree, each read when it is opened: for choosing where something goes. */
import { useQuery } from '@tanstack/react-query'
import { ChevronDown, ChevronRight, Folder, FolderOpen } from 'lucide-react'
import { useState } from 'react'
import { folder } from '../api/queries'
import { en } from '../text/en'
import { classes, Icon } from '../ui/parts'
import { readable } from './content'

type TreeProps = { instance: string; chosen: string; onChoose: (path: string) => void }

export function FolderTree(props: TreeProps) {
  return (
    <ul className="tree" role="tree" aria-label={en.files.folders}>
      <Branch {...props} path="" name={en.files.root} open />
    </ul>
  )
}

function Branch({ instance, chosen, onChoose, path, name, open: opened = false }: TreeProps & { path: string; name: string; open?: boolean }) {
  const [open, setOpen] = useState(opened)
  const list = useQuery({ ...folder(instance, path), enabled: open })
  const inner = list.data?.items.filter(it => it.kind === 'folder').toSorted((a, b) => a.name.localeCompare(b.name)) ?? []
  return (
    <li role="treeitem" aria-expanded={open} aria-selected={chosen === path} aria-label={name}>
      <div className={classes('row', chosen === path && 'on')}>
        <button type="button" className="button ghost s square" aria-label={`${open ? en.files.fold : en.files.unfold}: ${name}`} onClick={() => setOpen(!open)}>
          <Icon of={open ? ChevronDown : ChevronRight} size="s" />
        </button>
        <button type="button" className="grow row choose" onClick={() => onChoose(path)}>
          <Icon of={open ? FolderOpen : Folder} />
          <bdi className="truncate">{name}</bdi>
        </button>
      </div>
      {open && inner.length > 0 && (
        <ul role="group">
          {inner.map(it => (
            <Branch key={it.path} instance={instance} chosen={chosen} onChoose={onChoose} path={it.path} name={readable(it.name)} />
          ))}
        </ul>
      )}
    </li>
  )
}
