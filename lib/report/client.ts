/// <reference lib="dom" />
// Runs in the page, where page.ts puts it after uPlot. It stands alone: what it needs comes with the page's data.
import type uPlotType from 'uplot'
import type { PageData } from './page'

declare const uPlot: typeof uPlotType

{
  const data = JSON.parse(document.getElementById('report-data')!.textContent!) as PageData
  if (data.animation) animate(data.animation)
  if (data.images) animateImages(data.images)
  if (data.history) charts(data.history)

  function bytes(base64: string): Uint8Array {
    return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))
  }

  function animate(animation: NonNullable<PageData['animation']>): void {
    const { times, particles, field, colours } = animation
    const magma = bytes(colours)
    const positions = new Int16Array(bytes(particles.positions).buffer)
    const levels = bytes(particles.levels)
    const velocities = new Int16Array(bytes(field.velocities).buffer)
    const frames = times.length
    const canvases = ['density', 'particles', 'field'].map(
      (id) => document.getElementById(id) as HTMLCanvasElement
    )
    const SIZE = 720
    for (const canvas of canvases) canvas.width = canvas.height = SIZE
    const [densityView, particleView, fieldView] = canvases.map((canvas) => canvas.getContext('2d')!) as [
      CanvasRenderingContext2D,
      CanvasRenderingContext2D,
      CanvasRenderingContext2D
    ]
    const colour = (level: number) =>
      `rgb(${magma[3 * level]},${magma[3 * level + 1]},${magma[3 * level + 2]})`

    // The density frames arrive as levels; they are coloured once, on a canvas of their own.
    const coloured = document.createElement('canvas')
    const picture = new Image()
    picture.onload = () => {
      coloured.width = picture.width
      coloured.height = picture.height
      const view = coloured.getContext('2d')!
      view.drawImage(picture, 0, 0)
      const image = view.getImageData(0, 0, picture.width, picture.height)
      for (let i = 0; i < image.data.length; i += 4) {
        const level = image.data[i]!
        for (let channel = 0; channel < 3; channel++) image.data[i + channel] = magma[3 * level + channel]!
      }
      view.putImageData(image, 0, 0)
      refresh()
    }
    picture.src = animation.density.png

    /** Picture coordinates of quantised ones, which run over the extent. */
    const at = (value: number) => ((value + 32767) / 65534) * SIZE

    function showDensity(frame: number, mix: number): void {
      const { size, columns } = animation.density
      densityView.imageSmoothingQuality = 'high'
      for (const [index, opacity] of [
        [frame, 1],
        [Math.min(frame + 1, frames - 1), mix]
      ] as const) {
        densityView.globalAlpha = opacity
        const [left, top] = [(index % columns) * size, Math.floor(index / columns) * size]
        densityView.drawImage(coloured, left, top, size, size, 0, 0, SIZE, SIZE)
      }
      densityView.globalAlpha = 1
    }

    function position(frame: number, mix: number, particle: number, axis: number): number {
      const next = Math.min(frame + 1, frames - 1)
      const a = positions[2 * (frame * particles.count + particle) + axis]!
      const b = positions[2 * (next * particles.count + particle) + axis]!
      return at(a + (b - a) * mix)
    }

    function showParticles(frame: number, mix: number): void {
      particleView.fillStyle = '#000004'
      particleView.fillRect(0, 0, SIZE, SIZE)
      for (let particle = 0; particle < particles.count; particle++) {
        particleView.fillStyle = colour(Math.max(90, levels[frame * particles.count + particle]!))
        particleView.fillRect(
          position(frame, mix, particle, 0) - 1.3,
          position(frame, mix, particle, 1) - 1.3,
          2.6,
          2.6
        )
      }
    }

    function showField(frame: number, mix: number): void {
      fieldView.fillStyle = '#000004'
      fieldView.fillRect(0, 0, SIZE, SIZE)
      const next = Math.min(frame + 1, frames - 1)
      const cell = SIZE / field.size
      fieldView.strokeStyle = fieldView.fillStyle = '#8d93b8'
      fieldView.lineWidth = 1.6
      for (let node = 0; node < field.size ** 2; node++) {
        const [u, v] = [0, 1].map((axis) => {
          const a = velocities[2 * (frame * field.size ** 2 + node) + axis]!
          const b = velocities[2 * (next * field.size ** 2 + node) + axis]!
          return ((a + (b - a) * mix) / 32767) * field.reach
        }) as [number, number]
        // Towards the data, where sampling leads: against the direction of t. Lengths saturate at a cell.
        const speed = Math.hypot(u, v)
        const length = cell * 0.92 * Math.tanh(speed / field.typical)
        if (length < 0.5) continue
        const [dx, dy] = [(-u / speed) * length, (v / speed) * length]
        const x = ((node % field.size) + 0.5) * cell - dx / 2
        const y = (Math.floor(node / field.size) + 0.5) * cell - dy / 2
        arrow(fieldView, x, y, dx, dy)
      }
      fieldView.lineWidth = 1.5
      const traced = Math.min(60, particles.count)
      for (let particle = 0; particle < traced; particle++) {
        fieldView.strokeStyle = 'rgba(252, 160, 108, .75)'
        fieldView.beginPath()
        for (let past = 0; past <= frame; past++) {
          fieldView.lineTo(position(past, 0, particle, 0), position(past, 0, particle, 1))
        }
        const [x, y] = [position(frame, mix, particle, 0), position(frame, mix, particle, 1)]
        fieldView.lineTo(x, y)
        fieldView.stroke()
        fieldView.fillStyle = '#fde2a3'
        fieldView.beginPath()
        fieldView.arc(x, y, 3.4, 0, 2 * Math.PI)
        fieldView.fill()
      }
    }

    function arrow(view: CanvasRenderingContext2D, x: number, y: number, dx: number, dy: number): void {
      view.beginPath()
      view.moveTo(x, y)
      view.lineTo(x + dx, y + dy)
      view.moveTo(x + dx * 0.68 - dy * 0.2, y + dy * 0.68 + dx * 0.2)
      view.lineTo(x + dx, y + dy)
      view.lineTo(x + dx * 0.68 + dy * 0.2, y + dy * 0.68 - dx * 0.2)
      view.stroke()
    }

    const refresh = played(times, (frame, mix) => {
      showDensity(frame, mix)
      showParticles(frame, mix)
      showField(frame, mix)
    })
  }

  function animateImages({ times, png, width, height, step }: NonNullable<PageData['images']>): void {
    const view = (document.getElementById('images') as HTMLCanvasElement).getContext('2d')!
    const picture = new Image()
    const refresh = played(times, (frame, mix) => {
      for (const [index, opacity] of [
        [frame, 1],
        [Math.min(frame + 1, times.length - 1), mix]
      ] as const) {
        view.globalAlpha = opacity
        view.drawImage(picture, 0, index * step, width, height, 0, 0, width, height)
      }
      view.globalAlpha = 1
    })
    picture.onload = refresh
    picture.src = png
  }

  /** Runs an animation by the page's controls: `draw` shows a frame, mixed with the next one. Returns what draws the present one again. */
  function played(times: number[], draw: (frame: number, mix: number) => void): () => void {
    const frames = times.length
    const play = document.getElementById('play') as HTMLButtonElement
    const slider = document.getElementById('time') as HTMLInputElement
    const clock = document.getElementById('clock') as HTMLOutputElement
    let place = 0 // in frames, with a fraction
    let running = false
    let last = 0
    const DURATION = 4000 // from base to data, in ms
    const REST = 1200 // at the end, before it starts over

    function show(): void {
      const shown = Math.min(place, frames - 1)
      const frame = Math.min(Math.floor(shown), frames - 1)
      const mix = shown - frame
      draw(frame, mix)
      const t = times[frame]! + (times[Math.min(frame + 1, frames - 1)]! - times[frame]!) * mix
      clock.value = `t = ${t.toFixed(3)}`
      slider.value = String((shown / (frames - 1)) * 1000)
    }

    function tick(now: number): void {
      if (!running) return
      place += ((now - last) / DURATION) * (frames - 1)
      last = now
      if (place > (frames - 1) * (1 + REST / DURATION)) place = 0
      show()
      requestAnimationFrame(tick)
    }

    function toggle(): void {
      running = !running
      play.textContent = running ? 'Pause' : 'Play'
      if (!running) return
      if (place >= frames - 1) place = 0
      last = performance.now()
      requestAnimationFrame(tick)
    }

    play.onclick = toggle
    slider.oninput = () => {
      if (running) toggle()
      place = (Number(slider.value) / 1000) * (frames - 1)
      show()
    }
    // The last frame first: a page that is printed or never played shows the learned density.
    place = frames - 1
    if (!matchMedia('(prefers-reduced-motion: reduce)').matches && location.hash !== '#still') toggle()
    if (location.hash.startsWith('#t')) {
      place = (Number(location.hash.slice(2)) / 1000) * (frames - 1)
      if (running) toggle()
    }
    show()
    return show
  }

  function charts(history: NonNullable<PageData['history']>): void {
    const style = getComputedStyle(document.documentElement)
    const tone = (name: string) => style.getPropertyValue(`--${name}`).trim()
    const host = document.getElementById('charts')!
    const drawn: uPlotType[] = []
    const format = (value: number | null) => (value === null ? '–' : String(+value.toPrecision(4)))

    // Only whole powers of ten have lines and labels on a logarithmic axis.
    const decades = (_: uPlotType, __: number, least: number, most: number) => {
      const first = Math.ceil(Math.log10(least) - 1e-9)
      const count = Math.floor(Math.log10(most) + 1e-9) - first + 1
      return Array.from({ length: Math.max(0, count) }, (_, i) => 10 ** (first + i))
    }
    const every = (_: uPlotType, powers: number[]) => powers
    const exponents = (_: uPlotType, powers: number[]) =>
      powers.map((power) => `1e${Math.round(Math.log10(power))}`)

    /** A line at the iteration whose weights were kept. */
    function markKept(chart: uPlotType): void {
      if (history.kept === undefined) return
      const { ctx: view, bbox } = chart
      const x = chart.valToPos(history.kept, 'x', true)
      if (x < bbox.left || x > bbox.left + bbox.width) return
      view.save()
      view.strokeStyle = view.fillStyle = tone('quiet')
      view.lineWidth = devicePixelRatio
      view.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio])
      view.beginPath()
      view.moveTo(x, bbox.top)
      view.lineTo(x, bbox.top + bbox.height)
      view.stroke()
      const right = x < bbox.left + 0.8 * bbox.width
      view.font = `${11 * devicePixelRatio}px system-ui, sans-serif`
      view.textAlign = right ? 'left' : 'right'
      view.fillText('kept', x + (right ? 5 : -5) * devicePixelRatio, bbox.top + 12 * devicePixelRatio)
      view.restore()
    }

    // Boxes come before charts, whose widths depend on how many boxes share a row.
    function draw(): void {
      for (const chart of drawn.splice(0)) chart.destroy()
      host.textContent = ''
      const boxes = history.charts.map(({ title }) => {
        const box = host.appendChild(document.createElement('div'))
        box.className = 'chart'
        box.appendChild(document.createElement('h3')).textContent = title
        return box
      })
      for (const [index, { logarithmic, series }] of history.charts.entries()) {
        const box = boxes[index]!
        const axis = {
          stroke: tone('quiet'),
          grid: { stroke: tone('rule'), width: 1 },
          ticks: { stroke: tone('rule'), width: 1 }
        }
        drawn.push(
          new uPlot(
            {
              width: box.clientWidth,
              height: 250,
              scales: { x: { time: false }, y: logarithmic ? { distr: 3 } : {} },
              axes: [
                { ...axis, size: 34 },
                {
                  ...axis,
                  size: 58,
                  ...(logarithmic && { splits: decades, filter: every, values: exponents })
                }
              ],
              cursor: { sync: { key: 'iteration' } },
              hooks: { draw: index === 0 ? [markKept] : [] },
              series: [
                { label: 'iteration' },
                ...series.map((one) => ({
                  label: one.name,
                  stroke: tone(one.tone),
                  width: one.faint ? 1 : 1.8,
                  alpha: one.faint ? 0.45 : 1,
                  dash: one.dashed ? [5, 4] : [],
                  spanGaps: true,
                  points: { show: one.dots ?? false, size: 5, fill: tone(one.tone) },
                  value: (_: uPlotType, value: number | null) => format(value)
                }))
              ]
            },
            [history.iteration, ...series.map((one) => one.values)],
            box
          )
        )
      }
    }
    draw()
    let pending = 0
    addEventListener('resize', () => {
      clearTimeout(pending)
      pending = window.setTimeout(draw, 150)
    })
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw)
  }
}
