/**
 * Unpacks the Chromium of @sparticuz/chromium, with what it needs to run anywhere, into $TMPDIR. A program of its own,
 * because that package unpacks to wherever os.tmpdir() points in the whole process.
 */
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import chromium, { inflate } from '@sparticuz/chromium'

const archives = join(dirname(fileURLToPath(import.meta.resolve('@sparticuz/chromium'))), '..', 'bin')
await chromium.executablePath()
// The shared libraries that it needs, NSS among them, which a bare Debian lacks. The package would unpack them on
// Amazon Linux only.
await inflate(join(archives, 'al2023.tar.br'))

// Its own font settings look in folders of Amazon's; without fonts, pages show no text. Only these fonts and not the
// machine's, so that screenshots are the same everywhere.
const settings = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir prefix="relative">fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
`
writeFileSync(join(tmpdir(), 'fonts', 'fonts.conf'), settings)
