import { totalmem } from 'node:os'
import { DATABASE, PORT } from './layout.ts'

const MB = 1024 * 1024

/**
 * Settings of the embedded server, for a machine of about two cores that it shares with Fairlead. They are passed at
 * every start, so a new version of Fairlead brings its own; whoever wants to tune uses FAIRLEAD_DATABASE_URL.
 *
 * @param socket folder of the Unix socket
 * @param more settings to add or replace, for tests
 */
export function serverSettings(socket: string, more: Record<string, string> = {}): string[] {
  const memory = totalmem()
  const settings: Record<string, string> = {
    cluster_name: DATABASE,
    // Only this machine, only whoever may enter the private folder of the socket.
    listen_addresses: '',
    unix_socket_directories: socket,
    unix_socket_permissions: '0700',
    port: String(PORT),
    password_encryption: 'scram-sha-256',
    max_connections: '120',

    // What was acknowledged is on the disk.
    fsync: 'on',
    synchronous_commit: 'on',
    full_page_writes: 'on',

    shared_buffers: `${Math.round(Math.min(256, Math.max(128, memory / MB / 32)))}MB`,
    effective_cache_size: `${Math.round(memory / MB / 2)}MB`,
    work_mem: '16MB',
    maintenance_work_mem: '64MB',
    wal_buffers: '16MB',
    wal_compression: 'on',
    // Checkpoints seldom and spread out, yet a log short enough to be replayed in seconds after a crash.
    max_wal_size: '1GB',
    min_wal_size: '128MB',
    checkpoint_timeout: '15min',
    checkpoint_completion_target: '0.9',
    random_page_cost: '1.1',
    jit: 'off',
    max_worker_processes: '4',
    max_parallel_workers: '2',
    max_parallel_workers_per_gather: '1',
    io_workers: '2',
    // Queue tables turn over all the time; their dead rows must not wait for a fifth of the table.
    autovacuum_naptime: '15s',
    autovacuum_vacuum_scale_factor: '0.05',
    autovacuum_analyze_scale_factor: '0.05',
    autovacuum_vacuum_cost_limit: '1000',
    idle_in_transaction_session_timeout: '5min',

    timezone: 'UTC',
    log_timezone: 'UTC',
    lc_messages: 'C',
    datestyle: 'ISO, YMD',
    log_checkpoints: 'off',
    log_line_prefix: '%m [%p] ',
    log_min_duration_statement: '5s',
    // People's addresses stay out of the log: no parameters, no values of a violated key.
    log_parameter_max_length: '0',
    log_parameter_max_length_on_error: '0',
    log_error_verbosity: 'terse',
    ...more,
  }
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}
