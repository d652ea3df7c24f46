/** Something that a check found: all is well; worth knowing; something is wrong. */
export interface Finding {
  verdict: 'ok' | 'note' | 'wrong'
  about: string
  text: string
}

export const ok = (about: string, text: string): Finding => ({ verdict: 'ok', about, text })
export const note = (about: string, text: string): Finding => ({ verdict: 'note', about, text })
export const wrong = (about: string, text: string): Finding => ({ verdict: 'wrong', about, text })
