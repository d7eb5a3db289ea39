import { join } from 'node:path'
import { replaceFile } from '../file/whole-file'
import { collectReport, type ReportInput } from '../report/collect'
import { collectVaeReport, type VaeReportInput } from '../report/collect-vae'
import { historyPanels } from '../report/history-figure'
import { reportPage } from '../report/page'
import type { Report } from '../report/report'
import { FIGURE_STYLE } from '../report/style'
import { figure } from '../report/svg'
import { progressLine } from './progress'

/** What was asked of this program, as a shell takes it. */
export function commandLine(): string {
  const words = process.argv
    .slice(2)
    .map((word) => (/^[\w@%+=:,./~-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`))
  return ['ffjord', ...words].join(' ')
}

/**
 * Writes report.html and its still figures as SVG files, with a line of progress on stderr unless `quiet`; resolves to the names
 * written.
 */
export async function writeReport(
  directory: string,
  input: Omit<ReportInput, 'tell'>,
  quiet = false
): Promise<string[]> {
  const line = progressLine(quiet)
  const report = await collectReport({
    ...input,
    tell: (share, next) => line.update(share, `Writing the report: ${next}`)
  }).finally(() => line.done())
  return writePage(directory, report)
}

/** The same of an autoencoder, without a line of progress. */
export async function writeVaeReport(directory: string, input: VaeReportInput): Promise<string[]> {
  return writePage(directory, await collectVaeReport(input))
}

function writePage(directory: string, report: Report): string[] {
  const files: [string, string][] = [['report.html', reportPage(report)]]
  for (const { title, panels } of report.sections) {
    if (panels.length === 0) continue
    files.push([`${title.toLowerCase().replaceAll(' ', '-')}.svg`, figure(panels, FIGURE_STYLE)])
  }
  if (report.history) files.push(['training.svg', figure(historyPanels(report.history), FIGURE_STYLE)])
  for (const [name, text] of files) replaceFile(join(directory, name), text)
  return files.map(([name]) => name)
}
