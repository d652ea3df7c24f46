export { type EmbeddedConnection, locateEmbedded } from './connection.ts'
export { type KeptServer, keepEmbedded } from './keep.ts'
export { signalServer } from './leftovers.ts'
export { type EmbeddedOptions, type EmbeddedServer, startEmbedded } from './server.ts'
