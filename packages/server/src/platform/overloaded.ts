/** More is being received than there is room for. Nothing was done; it may be tried again in a moment. */
export class Overloaded extends Error {
  readonly statusCode = 503
  readonly code = 'FAIRLEAD_OVERLOADED'

  constructor() {
    super('too much is being received at the moment')
  }
}

/** When to try again, in seconds. */
export const RETRY_AFTER = 5
