/** What was done to a server, in words. */
import { Archive, CalendarClock, CircleCheck, History, LifeBuoy, Pause, Play, Plus, Power, Scaling, Trash2, type LucideIcon } from 'lucide-react'
import type { Activity } from '../api/client'
import { en } from '../text/en'

export type Line = { id: number; at: string; icon: LucideIcon; text: string; by: string; failed: boolean; reason: string | null }

const icons: [RegExp, LucideIcon][] = [
  [/^instance\.create/, Plus],
  [/^instance\.delete/, Trash2],
  [/^instance\.hold/, Pause],
  [/^instance\.(restore|backup_restored)/, History],
  [/^backup\.restored/, History],
  [/^backup\.verified|^instance\.verify/, CircleCheck],
  [/^backup|^instance\.backup/, Archive],
  [/^schedule/, CalendarClock],
  [/^operation/, LifeBuoy],
  [/^instance\.plan/, Scaling],
  [/^instance\.power/, Power],
]

const failures = ['instance.create_failed', 'instance.plan_change_failed', 'backup.failed', 'backup.use_failed', 'operation.stuck']

/** What ended is one line, with whoever asked for it: the request of the same operation is left out. */
export function lines(all: Activity[]): Line[] {
  const ended = new Set<string>()
  const askedBy = new Map(all.filter(it => isRequest(it)).map(it => [it.operation_id, it.actor]))
  return all.flatMap(it => {
    if (isRequest(it) && ended.has(it.operation_id ?? '')) return []
    if (it.operation_id && !isRequest(it)) ended.add(it.operation_id)
    const text = en.activity.words(it.action, it.object_name, it.requested_action)
    const icon = it.requested_action === 'start' ? Play : (icons.find(([pattern]) => pattern.test(it.action))?.[1] ?? Power)
    const actor = askedBy.get(it.operation_id) ?? it.actor
    const failed = failures.includes(it.action)
    return [{ id: it.id, at: it.at, icon, text, by: en.activity.by(actor), failed, reason: it.reason_code }]
  })
}

const REQUESTS = ['instance.create', 'instance.delete', 'instance.backup', 'instance.restore', 'instance.verify']

const isRequest = (it: Activity) => it.operation_id !== null && REQUESTS.includes(it.action)
