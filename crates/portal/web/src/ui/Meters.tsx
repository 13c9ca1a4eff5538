/** What a server uses of what it may, in a row of small bars. */
import { Users } from 'lucide-react'
import type { Instance, Load } from '../api/client'
import { bytes, percent } from '../model/format'
import { en } from '../text/en'
import { classes, Icon } from './parts'

/** Above this share something is about to run out. */
const NEARLY_FULL = 0.9

function Meter({ label, value, share }: { label: string; value: string | null; share: number }) {
  const text = value ?? '–'
  return (
    <div>
      <span className="k">
        {label}
        <b>{text}</b>
      </span>
      <progress className={classes('thin', share >= NEARLY_FULL ? 'warn' : 'a')} max={1} value={Math.min(1, share)} aria-label={`${label} ${text}`} />
    </div>
  )
}

const MIB = 1024 * 1024

export function Meters({ instance, load }: { instance: Instance; load: Load }) {
  const { cpu_percent, memory_mib, disk_mib } = instance.resources
  return (
    <>
      {load.players && (
        <div className="row t-13">
          <Icon of={Users} />
          <span>
            <b className="strong num">{load.players.online_count}</b> <span className="muted">{en.server.ofPlayers(load.players.max_count)}</span>
          </span>
        </div>
      )}
      <div className="meters">
        <Meter label={en.server.cpu} value={load.cpu_percent === null ? null : percent(load.cpu_percent)} share={(load.cpu_percent ?? 0) / cpu_percent} />
        <Meter label={en.server.memory} value={bytes(load.memory_bytes)} share={load.memory_bytes / (memory_mib * MIB)} />
        <Meter label={en.server.disk} value={bytes(load.disk_bytes)} share={load.disk_bytes / (disk_mib * MIB)} />
      </div>
    </>
  )
}

/** Of one that is down: only its files take anything. */
export function DiskMeter({ instance, load }: { instance: Instance; load: Load }) {
  const limit = instance.resources.disk_mib * MIB
  return (
    <div className="meters one">
      <Meter label={en.server.disk} value={en.common.of(bytes(load.disk_bytes), bytes(limit))} share={load.disk_bytes / limit} />
    </div>
  )
}
