/** What somebody has chosen on the create page: kept for the tab, also while it is at Stripe's page. */
import { draft } from '../model/draft'

export type Form = {
  kind: 'game' | 'dev'
  blueprint: string
  variant: string
  version: string
  plan: string
  name: string
  hostname: string
  eula: boolean
  key: string
  /** The plan that somebody went away to pay for. */
  paying?: string
}

export const createDraft = draft<Form>('create')
