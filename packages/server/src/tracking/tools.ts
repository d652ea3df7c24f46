import type { FastifyRequest } from 'fastify'
import type { Recorder } from '../activity/record.ts'
import type { BuiltIn } from '../pages/built-in.ts'

/** What the routes of this door share. */
export interface TrackingTools {
  builtIn: BuiltIn
  recorder: Recorder
  /** Points for looking like a machine. */
  scoreOf(type: 'open' | 'click', request: FastifyRequest): number
}

/** What stands behind `/c/`, `/o/` or `/v/`. */
export const tokenOf = (request: FastifyRequest): string => (request.params as { '*': string })['*']
