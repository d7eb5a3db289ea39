import { stderr } from 'node:process'

/** Where a job stands, on stderr: one line that is rewritten on a terminal, a line every few seconds elsewhere. */
export interface ProgressLine {
  /** `share` of the job done, in [0, 1], where that is known. */
  update(share: number | undefined, text: string): void
  /** Ends the line, which stays readable. */
  done(): void
}

const TERMINAL_INTERVAL = 100 // ms
const PLAIN_INTERVAL = 5000
const BAR = 24
/** The width of a terminal that does not say its own, and the least beside which a bar leaves room for the numbers. */
const UNKNOWN_WIDTH = 80
const WIDTH_WITH_BAR = 60

export function progressLine(quiet: boolean): ProgressLine {
  let last = -Infinity
  let latest = ''
  let shown = ''
  const show = (text: string) => {
    shown = text
    if (!stderr.isTTY) stderr.write(`${text}\n`)
    else stderr.write(`\r\x1b[2K${text.slice(0, Math.max(20, terminalWidth() - 1))}`)
  }
  return {
    update(share, text) {
      if (quiet) return
      const hasBar = share !== undefined && stderr.isTTY && terminalWidth() >= WIDTH_WITH_BAR
      latest = hasBar ? `${bar(share)} ${text}` : text
      const now = performance.now()
      if (now - last < (stderr.isTTY ? TERMINAL_INTERVAL : PLAIN_INTERVAL)) return
      last = now
      show(latest)
    },
    done() {
      if (latest && latest !== shown) show(latest)
      if (latest && stderr.isTTY) stderr.write('\n')
    }
  }
}

function terminalWidth(): number {
  return stderr.columns || UNKNOWN_WIDTH
}

function bar(share: number): string {
  const filled = Math.round(BAR * Math.min(1, Math.max(0, share)))
  return '█'.repeat(filled) + '░'.repeat(BAR - filled)
}

/** A remark on stderr. */
export function note(text: string): void {
  stderr.write(`${text}\n`)
}

const DAY = 86_400

/** 75 → '1:15', 4000 → '1:06:40', 400000 → '4.6 days'. */
export function duration(seconds: number): string {
  const days = seconds / DAY
  if (days >= 2) return `${days.toFixed(days < 100 ? 1 : 0)} days`
  const whole = Math.max(0, Math.round(seconds))
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  const two = (value: number) => String(value).padStart(2, '0')
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`
}
