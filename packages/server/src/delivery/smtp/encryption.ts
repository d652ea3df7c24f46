import { isIP, type Socket } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'

/** What is known of an encrypted connection and of who is at its other end. */
export interface TlsFacts {
  /** `TLSv1.3` */
  protocol: string
  cipher: string
  /** Common name of the certificate, else all of its subject. */
  subject: string
  issuer: string
  /** Host names and addresses it is good for, as `DNS:mail.example.com`. */
  names: readonly string[]
  /** Null: the certificate does not say so in a way that can be read. */
  expires: Date | null
  /** Null: trusted, and made out to this host. Else why not, where that was allowed. */
  distrust: string | null
}

export interface TlsOptions {
  host: string
  /** Whether a certificate that is not trusted, or made out to others, ends the connection. */
  verify: boolean
  /** Certificates to trust instead of the system's, in PEM. */
  ca?: string
}

/** Puts TLS on a connected socket. */
export function encrypt(socket: Socket, { host, verify, ca }: TlsOptions): TLSSocket {
  return connect({
    socket,
    host,
    // RFC 6066 §3: a server is named, an address is not.
    ...(isIP(host) === 0 && { servername: host }),
    rejectUnauthorized: verify,
    ...(ca !== undefined && { ca }),
  })
}

/** Call it once the handshake is over. */
export function tlsFactsOf(socket: TLSSocket): TlsFacts {
  const certificate = socket.getPeerCertificate()
  const expires = new Date(certificate.valid_to)
  return {
    protocol: socket.getProtocol() ?? 'unknown',
    cipher: socket.getCipher().name,
    subject: nameIn(certificate.subject),
    issuer: nameIn(certificate.issuer),
    names: certificate.subjectaltname?.split(', ') ?? [],
    expires: Number.isNaN(expires.getTime()) ? null : expires,
    distrust: socket.authorized ? null : String(socket.authorizationError),
  }
}

/** Resumed sessions and odd certificates come without a subject. */
function nameIn(name: Record<string, string | string[] | undefined> | undefined): string {
  if (!name) return ''
  const common = name.CN ?? Object.entries(name).map(([key, value]) => `${key}=${value}`)
  return typeof common === 'string' ? common : common.join(', ')
}

/** Nobody can listen between a machine and itself. @param address as a socket reports it */
export function isLoopback(address: string | undefined): boolean {
  return address === 'localhost' || address === '::1' || /^(::ffff:)?127\.\d+\.\d+\.\d+$/.test(address ?? '')
}
