import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['packages/*/test/**/*.test.ts', 'examples/*/test/**/*.test.ts'],
    globalSetup: ['packages/server/test/support/global-setup.ts'],
    setupFiles: ['packages/server/test/support/short-failures.ts'],
    // Tests wait for events, and a busy machine may let them wait: the bounds only end what would never end. What waits
    // gives up sooner than its test (test/support/until.ts), so that a failure says what it waited for.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 120_000, interval: 20 } },
    // Messages of failures stay short, however large what was compared.
    chaiConfig: { truncateThreshold: 200 },
    diff: { truncateThreshold: 40, maxDepth: 6 },
    pool: 'forks',
    // One more than the cores of a small machine: much of what is tested is waiting for something to be over.
    maxWorkers: 3,
  },
})
