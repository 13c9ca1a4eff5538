/** The way to a new server, or that there is none while a payment is open. */
import { Link } from '@tanstack/react-router'
import { Plus } from 'lucide-react'
import { useBlocked } from '../model/payment'
import { en } from '../text/en'
import { Button, classes, Icon } from '../ui/parts'
import { unpaidId } from '../ui/Unpaid'

export function NewServer({ size }: { size?: 'l' }) {
  const unpaid = useBlocked('new_instances')
  if (unpaid) {
    return (
      <Button icon={Plus} {...(size && { size })} disabled aria-describedby={unpaidId('new_instances')}>
        {en.servers.newServer}
      </Button>
    )
  }
  return (
    <Link to="/new" className={classes('button primary', size)}>
      <Icon of={Plus} />
      {en.servers.newServer}
    </Link>
  )
}
