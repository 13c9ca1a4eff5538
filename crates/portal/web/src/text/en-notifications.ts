/** Every word of the page of notifications. */
import type { Channel, Notification } from '../api/client'
import { ago, count, exact } from '../model/format'

const templates: Record<string, string> = {
  billing_payment_failed: 'A payment did not go through',
  billing_final_warning: 'A payment is still open',
  billing_suspended: 'Servers are stopped for a payment',
  billing_restored: 'It was paid',
  test: 'Test mail',
  verify_email: 'Is this your address?',
  password_reset: 'Choose a new password',
  security_notice: 'Notice of a change of the account',
  ticket_received: 'A ticket has arrived',
  ticket_reply: 'An answer to a ticket',
  maintenance: 'Maintenance',
}

const channels: Record<string, string> = { mail: 'Mail', discord: 'Discord' }

const failures: Record<string, string> = {
  later: 'To be tried again',
  blocked: 'Nothing can be sent',
  never: 'Refused for good',
  dropped: 'Not sent, by a rule of ours',
}

const channel = (it: string) => channels[it] ?? it

export const told = {
  title: 'Notifications',
  sub: 'What is told outside, by mail and chat. What a mail says is not shown here: it may have a link that lets people in.',
  filter: 'Filter',
  states: { waiting: 'Waiting', failed: 'Failed', sent: 'Sent', all: 'All' },
  state: { waiting: 'Waiting', failed: 'Failed', sent: 'Sent' } satisfies Record<Notification['state'], string>,
  none: {
    waiting: 'Nothing waits',
    failed: 'Nothing has failed',
    sent: 'Nothing was sent yet',
    all: 'Nothing was to be told yet',
  },
  noneText: 'Mails to customers and messages to operators stand here, with what became of them.',
  what: 'What',
  to: 'To',
  became: 'What became of it',
  when: 'When',
  name: (it: Notification) => (it.template ? (templates[it.template] ?? it.template) : 'A message to operators'),
  channel,
  failure: (it: string) => failures[it] ?? it,
  attempts: (n: number) => (n === 1 ? '1 attempt' : `${count(n)} attempts`),
  code: (code: number) => `Code ${code}`,
  nextTry: (at: string) => (new Date(at) <= new Date() ? 'Next try: now' : `Next try: ${exact(at)}`),
  retry: 'Try again',
  retryOf: (it: string) => `Try again: ${it}`,
  retried: 'It is tried again',
  test: 'Send test mail',
  tested: (to: string) => `On its way to ${to}: it waits here until it is sent`,
  /** Where a channel sends, and since when. */
  route: (it: Channel) =>
    it.route
      ? `${channel(it.channel)} goes by ${it.route}${it.configured_at ? `, as zlh-controller was told ${ago(it.configured_at)}` : ''}. Other settings are used after its next start.`
      : `${channel(it.channel)} is not configured.${it.waiting_count > 0 ? ` Waiting until it is: ${count(it.waiting_count)}.` : ''}`,
  stalled: (it: Channel) =>
    `Nothing is sent by ${channel(it.channel).toLowerCase()} (${count(it.waiting_count)} waiting): ${it.blocked_by ?? 'nobody takes it. Look whether zlh-controller runs.'}`,
  blocked: (it: Channel) => `${channel(it.channel)} cannot send now, and tries again by itself: ${it.blocked_by ?? ''}`,
  unconfigured: (it: Channel) => `${channel(it.channel)} is not configured (${count(it.waiting_count)} waiting). docs/mail.md says how; what waits for three days is given up.`,
}
