/*
 * What ought to be true, in as few words as possible: a model of refusals and permissions that knows nothing of tables.
 * People and addresses hold refusals, each with the order in which it was made. A permission removes what it is newer
 * than. People who become one hold what either held; an address that leaves its person keeps a copy.
 */

export const SUBJECTS = ['mail', 'list', 'template'] as const
export type Subject = (typeof SUBJECTS)[number]

/** Order of the newest refusal of each subject; missing: nothing is refused. */
type Refusals = Map<Subject, number>

export interface Somebody {
  name: number
  address: string | null
  refused: Refusals
  isMember: boolean
  isGone: boolean
  /** Who they became part of. */
  became: Somebody | null
}

export class ConsentModel {
  #order = 0
  #made = 0
  readonly people: Somebody[] = []
  readonly memories = new Map<string, Refusals>()

  /** What is known now: a permission decided at this point lifts nothing that is refused later. */
  now(): number {
    return this.#order
  }

  at(address: string): Somebody | null {
    return this.people.find((one) => !one.isGone && one.address === address) ?? null
  }

  /** The person, or the survivor of their merge; null: erased. */
  present(person: Somebody): Somebody | null {
    let found = person
    while (found.became) found = found.became
    return found.isGone ? null : found
  }

  /** Whoever has the address, made where nobody has. */
  known(address: string): Somebody {
    const found = this.at(address)
    if (found) return found
    const made = { name: this.#made++, address, refused: new Map(), isMember: false, isGone: false, became: null }
    this.people.push(made)
    this.#recall(made)
    return made
  }

  refuse(whom: Somebody | Refusals, ...subjects: Subject[]): void {
    this.#order += 1
    const refused = whom instanceof Map ? whom : whom.refused
    for (const subject of subjects) refused.set(subject, this.#order)
  }

  /** @param decided what was known when it was decided */
  permit(person: Somebody, subject: Subject, decided: number): boolean {
    const refused = person.refused.get(subject)
    if (refused !== undefined && refused > decided) return false
    person.refused.delete(subject)
    return true
  }

  leave(person: Somebody): void {
    if (person.isMember || person.refused.has('list')) this.refuse(person, 'list')
    person.isMember = false
  }

  join(person: Somebody, decided: number): 'joined' | 'stayed' | 'was there' {
    if (!this.permit(person, 'list', decided)) return 'stayed'
    const wasMember = person.isMember
    person.isMember = true
    return wasMember ? 'was there' : 'joined'
  }

  /** The address leaves its person: what they refused stays with it. */
  abandon(person: Somebody): void {
    if (person.address !== null) this.#remember(person.address, person.refused)
    person.address = null
  }

  take(person: Somebody, address: string): void {
    this.abandon(person)
    person.address = address
    this.#recall(person)
  }

  /** `other` becomes part of `kept`, whose address becomes that of `other`. */
  merge(kept: Somebody, other: Somebody): void {
    for (const [subject, order] of other.refused) {
      kept.refused.set(subject, Math.max(order, kept.refused.get(subject) ?? 0))
    }
    kept.isMember = (kept.isMember || other.isMember) && !kept.refused.has('list')
    this.abandon(kept)
    kept.address = other.address
    other.isGone = true
    other.became = kept
    this.#recall(kept)
  }

  erase(person: Somebody): void {
    if (person.address !== null) this.#remember(person.address, person.refused)
    person.isGone = true
  }

  /** A refusal by a link of a mail to an address: for the person, for whoever has the address, or for the address. */
  refuseByLink(person: Somebody, address: string, refuse: (whom: Somebody) => void): void {
    const alive = this.present(person)
    if (alive) refuse(alive)
    const owner = this.at(address)
    if (owner && owner !== alive) refuse(owner)
    if (owner) return
    const memory = { ...this.#nobody(), refused: this.memories.get(address) ?? new Map(), isMember: true }
    refuse(memory)
    this.memories.set(address, memory.refused)
  }

  #nobody = (): Somebody => ({
    name: -1,
    address: null,
    refused: new Map(),
    isMember: false,
    isGone: true,
    became: null,
  })

  #remember(address: string, refused: Refusals): void {
    const known = this.memories.get(address) ?? new Map<Subject, number>()
    for (const [subject, order] of refused) known.set(subject, Math.max(order, known.get(subject) ?? 0))
    this.memories.set(address, known)
  }

  #recall(person: Somebody): void {
    const memory = this.memories.get(person.address!)
    if (!memory) return
    for (const [subject, order] of memory) {
      person.refused.set(subject, Math.max(order, person.refused.get(subject) ?? 0))
    }
    if (person.refused.has('list')) person.isMember = false
    this.memories.delete(person.address!)
  }
}
