import type { Edge, FlowDefinition } from './definition.ts'
import type { Problem } from './steps/step-type.ts'

/**
 * What is wrong with the shape of a flow: one entry that nothing leads to, every step within reach, no way back, edges
 * between steps that exist, one a port.
 *
 * @param portsOf ports that a step may use; null for a step of unknown type
 */
export function reviewGraph(
  { steps, edges }: Pick<FlowDefinition, 'steps' | 'edges'>,
  portsOf: (stepId: string) => readonly string[] | null,
): Problem[] {
  const problems: Problem[] = []
  const wrong = (step: string | null, message: string) => problems.push({ severity: 'error', step, message })

  const entries = Object.keys(steps).filter((id) => steps[id]?.kind === 'entry')
  if (entries.length === 0) wrong(null, 'it has no entry, so nobody could ever start it')
  if (entries.length > 1) wrong(null, `it has ${entries.length} entries (${entries.join(', ')}): keep one`)

  const sound: Edge[] = []
  const used = new Set<string>()
  for (const edge of edges) {
    const missing = [edge.from, edge.to].filter((id) => !Object.hasOwn(steps, id))
    if (missing.length > 0) {
      wrong(null, `the edge ${named(edge)} names ${missing.join(' and ')}, which is not a step of this flow`)
      continue
    }
    sound.push(edge)
    const ports = portsOf(edge.from)
    if (ports && !ports.includes(edge.port)) {
      wrong(edge.from, `it has no port "${edge.port}"; its ports are ${ports.join(', ')}`)
    }
    const port = `${edge.from} ${edge.port}`
    if (used.has(port)) wrong(edge.from, `more than one edge leaves its port "${edge.port}": keep one`)
    used.add(port)
    if (steps[edge.to]?.kind === 'entry') wrong(edge.to, `the edge ${named(edge)} leads back to the entry`)
  }

  const [entry] = entries
  if (entry !== undefined && entries.length === 1) {
    const reached = reachable(entry, sound)
    for (const id of Object.keys(steps)) if (!reached.has(id)) wrong(id, 'no way leads to it from the entry')
  }
  const cycle = findCycle(Object.keys(steps), sound)
  if (cycle) wrong(cycle[0]!, `the steps go in a circle: ${cycle.join(' → ')}`)
  return problems
}

const named = ({ from, port, to }: Edge) => `${from} –${port}→ ${to}`

function reachable(start: string, edges: readonly Edge[]): Set<string> {
  const next = targets(edges)
  const reached = new Set([start])
  for (const id of reached) for (const to of next.get(id) ?? []) reached.add(to)
  return reached
}

/** A circle as a list of steps that begins and ends with the same one, or null. */
function findCycle(ids: readonly string[], edges: readonly Edge[]): string[] | null {
  const next = targets(edges)
  const done = new Set<string>()
  const path: string[] = []
  const visit = (id: string): string[] | null => {
    const at = path.indexOf(id)
    if (at >= 0) return [...path.slice(at), id]
    if (done.has(id)) return null
    path.push(id)
    for (const to of next.get(id) ?? []) {
      const cycle = visit(to)
      if (cycle) return cycle
    }
    path.pop()
    done.add(id)
    return null
  }
  for (const id of ids) {
    const cycle = visit(id)
    if (cycle) return cycle
  }
  return null
}

function targets(edges: readonly Edge[]): Map<string, string[]> {
  const next = new Map<string, string[]>()
  for (const { from, to } of edges) {
    const known = next.get(from)
    if (known) known.push(to)
    else next.set(from, [to])
  }
  return next
}
