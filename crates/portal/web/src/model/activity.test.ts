import { describe, expect, it } from 'vitest'
import type { Activity } from '../api/client'
import { lines } from './activity'

const entry = (some: Partial<Activity> & { id: number; action: string }): Activity => ({
  at: '2026-01-01T00:00:00Z',
  actor: { kind: 'customer', name: null },
  object_name: null,
  operation_id: null,
  requested_action: null,
  reason_code: null,
  ...some,
})
const system = { kind: 'system', name: null } as const

describe('activity', () => {
  it('tells of what has ended once, by whoever asked for it', () => {
    const told = lines([
      entry({ id: 3, action: 'backup.created', operation_id: 'o', object_name: 'Nightly', actor: system }),
      entry({ id: 2, action: 'instance.backup', operation_id: 'o', object_name: 'Nightly', actor: { kind: 'api_key', name: 'bot' } }),
    ])
    expect(told.map(it => [it.id, it.text, it.by])).toEqual([[3, 'Backup “Nightly” is finished', 'The key “bot”']])
  })

  it('tells of what was asked for and goes on', () => {
    const told = lines([entry({ id: 2, action: 'instance.backup', operation_id: 'o', object_name: 'Nightly' })])
    expect(told.map(it => it.text)).toEqual(['Backup “Nightly” was asked for'])
  })

  it('says something of what it does not know', () => {
    expect(lines([entry({ id: 1, action: 'instance.teleported' })])[0]?.text).toBe('instance teleported')
  })
})
