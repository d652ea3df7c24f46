/**
 * The program behind `npm start` and `npx fairlead`. Node strips the types and compiles at every start; a cache of the
 * result, which the role processes share through the environment, saves a third of that and 20 MB in each.
 */
import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'

// Beside the code that it comes from and not in the temporary folder, where others could plant what we would run.
const cache = fileURLToPath(new URL('../../../node_modules/.cache/fairlead', import.meta.url))
if (enableCompileCache(cache).directory) process.env.NODE_COMPILE_CACHE = cache

const { runCommand } = await import('./cli/index.ts')
process.exitCode = await runCommand(process.argv.slice(2), process.env)
