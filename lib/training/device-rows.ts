import type { Feed } from '../data/dataset'
import { standardized } from '../flow/context'
import type { FlowCore } from '../flow/core'
import { translatedSync } from '../native/errors'
import type { NativeRows } from '../native/interface'

interface Uploaded {
  rows: NativeRows
  contexts?: NativeRows
}

/** Rows to train on, where the flow computes: those in memory stay there, fresh ones take the place of those before. */
export class DeviceRows {
  readonly #core: FlowCore
  #kept: { data: Feed['data']; uploaded: Uploaded } | undefined

  constructor(core: FlowCore) {
    this.#core = core
  }

  of({ data, context, count }: Feed): Uploaded {
    if (this.#kept?.data === data) return this.#kept.uploaded
    this.release()
    const { native, description } = this.#core
    const uploaded: Uploaded = {
      rows: translatedSync(() =>
        'levels' in data ? native.uploadImages(count, data.levels, data.rule) : native.upload(count, data)
      )
    }
    this.#kept = { data, uploaded }
    const conditioning = description.context
    if (conditioning && context) {
      const contexts = standardized(conditioning, context)
      uploaded.contexts = translatedSync(() => native.uploadContexts(count, contexts))
    }
    return uploaded
  }

  release(): void {
    this.#kept?.uploaded.rows.release()
    this.#kept?.uploaded.contexts?.release()
    this.#kept = undefined
  }
}
