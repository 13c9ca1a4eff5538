/** Pages that stand where another could not. */
import { Link, type ErrorComponentProps } from '@tanstack/react-router'
import { SearchX, TriangleAlert } from 'lucide-react'
import { Problem } from '../api/problem'
import { en } from '../text/en'
import { Button, Empty, ProblemNote } from '../ui/parts'

export function NotHere() {
  return (
    <main className="main">
      <Empty icon={SearchX} title={en.problem.notHere} text={en.problem.notHereText}>
        <Link to="/" className="button">
          {en.problem.toServers}
        </Link>
      </Empty>
    </main>
  )
}

export function Broken({ error, reset }: ErrorComponentProps) {
  if (error instanceof Problem) {
    return (
      <main className="main">
        <ProblemNote error={error} onRetry={reset} />
      </main>
    )
  }
  return (
    <main className="main">
      <Empty icon={TriangleAlert} title={en.problem.broken} text={en.problem.brokenText}>
        <Button kind="primary" onClick={() => location.reload()}>
          {en.problem.reload}
        </Button>
      </Empty>
    </main>
  )
}
