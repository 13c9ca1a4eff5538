import { useEffect, useState } from 'react'
import { ConsoleDriver } from './driver'

/** A console that is open as long as the page is. */
export function useConsole(instance: string, open: boolean): ConsoleDriver {
  const [driver, setDriver] = useState(() => ({ instance, driver: new ConsoleDriver(instance) }))
  if (driver.instance !== instance) setDriver({ instance, driver: new ConsoleDriver(instance) })
  useEffect(() => (open ? driver.driver.start() : undefined), [driver, open])
  return driver.driver
}
