/** A server's notepad. */
import { en } from '../../text/en'
import { NotePad } from '../Note'
import { useInstance } from './context'

export function Notes() {
  const instance = useInstance()
  return (
    <div className="narrow">
      <NotePad place={instance.id} title={en.note.server} hint={en.note.serverHint} />
    </div>
  )
}
