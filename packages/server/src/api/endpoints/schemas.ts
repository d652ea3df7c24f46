import { type TSchema, Type } from 'typebox'

/** Pieces of parameter schemas that several endpoints share. They document; coerce.ts decides what is accepted. */

/** 0 or 1. */
export const flag = (description?: string) => Type.Enum([0, 1], description ? { description } : {})

/** The name of a thing. */
export const nameOf = (thing: string) => Type.String({ description: `The name of ${thing}`, maxLength: 255 })

/** A map of names to any values. */
export const anyMap = (description: string) => Type.Record(Type.String(), Type.Unknown(), { description })

/** A map of names to 0 or 1. */
export const choices = (description: string) => Type.Record(Type.String(), flag(), { description })

/** May be left out, or be null. */
export const orNull = (schema: TSchema) => Type.Optional(Type.Union([schema, Type.Null()]))

/** A time, in any of the many forms. */
export const timeText = (description: string) => Type.String({ description, format: 'date-time' })

/** The website's word that a person decided. */
export const consentSchema = Type.Object(
  {
    wording_id: Type.String({ description: 'Which words the person saw' }),
    at: Type.Optional(timeText('When; default now')),
    ip: Type.Optional(Type.String()),
    user_agent: Type.Optional(Type.String()),
    url: Type.Optional(Type.String({ description: 'The page' })),
    method: Type.Optional(Type.String({ description: 'How: a checkbox, a button, by telephone …' })),
  },
  { description: 'Proof that the person decided. Raises the evidence kept in the ledger' },
)
