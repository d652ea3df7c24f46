import { connect } from 'node:net'

/** Hands messages over; `close` ends the connection. */
export interface SmtpClient {
  send(): Promise<void>
  close(): void
}

/** The least that SMTP needs: write the envelope, wait, write the content, wait. Answers are counted, not read. */
export async function rawSmtpClient(port: number, content: Buffer): Promise<SmtpClient> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  const envelope = Buffer.from('MAIL FROM:<shop@example.org>\r\nRCPT TO:<ada@example.com>\r\nDATA\r\n')
  const end = Buffer.from('.\r\n')
  let expected = 1
  let heard: () => void = () => {}
  socket.on('data', (chunk: Buffer) => {
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) expected -= 1
    if (expected === 0) heard()
  })
  const answers = (count: number) =>
    new Promise<void>((resolve) => {
      expected = count
      heard = resolve
    })
  await answers(1)
  socket.write('EHLO bench\r\n')
  await answers(3)
  return {
    async send() {
      socket.write(envelope)
      await answers(3)
      socket.cork()
      socket.write(content)
      socket.write(end)
      socket.uncork()
      await answers(1)
    },
    close: () => socket.destroy(),
  }
}
