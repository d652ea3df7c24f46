#!/usr/bin/env node
// The command itself is TypeScript, which Node runs as it is from 22.18 on.
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18)) {
  console.error(`zephyr needs Node 22.18 or later; this is ${process.versions.node}`)
  process.exit(2)
}
await import('./zephyr.ts')
