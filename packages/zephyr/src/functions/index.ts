import { dateFunctions } from './dates.ts'
import type { Definition } from './definition.ts'
import { guardFunctions } from './guards.ts'
import { listFunctions } from './lists.ts'
import { numberFunctions } from './numbers.ts'
import { platformFunctions } from './platform.ts'
import { textFunctions } from './text.ts'

/** Every function of the language by name. */
export const FUNCTIONS: ReadonlyMap<string, Definition> = new Map(
  [textFunctions, listFunctions, numberFunctions, dateFunctions, guardFunctions, platformFunctions]
    .flat()
    .map((definition) => [definition.name, definition]),
)
