import type { Instance } from '../api/client'

/** The create page with the choices of a server that could not be made. */
export const retryHref = ({ name, blueprint, variant, version, plan }: Instance) => ({ name, blueprint, variant, version, plan })
export type Choices = Partial<ReturnType<typeof retryHref>>
