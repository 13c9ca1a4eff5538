/** The list of keys. */
import { en } from '../text/en'
import { Dialog } from '../ui/Dialog'
import { Button } from '../ui/parts'

export function Keys({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title={en.keys.title} onClose={onClose} foot={<Button onClick={onClose}>{en.common.close}</Button>}>
      <dl className="keys">
        {en.keys.all.map(([keys, what]) => (
          <div key={keys} className="row">
            <dt>
              <kbd className="kbd">{keys}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  )
}
