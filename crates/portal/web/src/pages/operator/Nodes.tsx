/** The machines, and how full they are. */
import { useQuery } from '@tanstack/react-query'
import { HardDrive } from 'lucide-react'
import { nodes } from '../../api/queries'
import { ago, bytes, count, percent } from '../../model/format'
import { useTitle } from '../../shell/title'
import { en } from '../../text/en'
import { ListTable } from '../../ui/ListTable'
import { Empty } from '../../ui/parts'

const MIB = 1024 * 1024

export function Nodes() {
  useTitle(en.operator.nodes)
  const list = useQuery(nodes)
  return (
    <>
      <h1>{en.operator.nodes}</h1>
      <ListTable
        list={list}
        empty={<Empty icon={HardDrive} title={en.operator.noNodes} />}
        headings={[en.operator.node, en.operator.cpu, en.operator.memory, en.operator.disk, en.operator.ports]}
      >
        {it => (
          <tr key={it.id}>
            <td>
              <div className="stack t">
                <span className="strong">{it.name}</span>
                <span className="t-13 muted">{it.public_host}</span>
                <span className="t-13 muted">{it.last_report_at ? en.operator.heardFrom(ago(it.last_report_at)) : en.operator.neverHeard}</span>
                <span className={it.cordoned ? 'pill warn' : 'pill ok'}>{it.cordoned ? en.operator.cordoned : en.operator.open}</span>
              </div>
            </td>
            <Share used={it.used_cpu_percent} of={it.cpu_percent} say={n => percent(n)} name={en.operator.cpu} />
            <Share used={it.used_memory_mib} of={it.memory_mib} say={n => bytes(n * MIB)} name={en.operator.memory} />
            <Share used={it.used_disk_mib} of={it.disk_mib} say={n => bytes(n * MIB)} name={en.operator.disk} />
            <td className="num">
              <span className="narrow-only muted t-13">{`${en.operator.ports} `}</span>
              {count(it.free_port_count)}
            </td>
          </tr>
        )}
      </ListTable>
    </>
  )
}

function Share({ used, of, say, name }: { used: number; of: number; say: (n: number) => string; name: string }) {
  const text = en.common.of(say(used), say(of))
  return (
    <td>
      <div className="stack t">
        <span className="t-13 num">
          <span className="narrow-only muted">{`${name} `}</span>
          {text}
        </span>
        <progress className={used / of > 0.9 ? 'thin warn' : 'thin a'} max={of} value={used} aria-label={`${name}: ${text}`} />
      </div>
    </td>
  )
}
