/** What a file says of its picture before it is decoded. */
export interface PictureHeader {
  width: number
  height: number
  isGrey: boolean
}

/** A picture that is not known to be grey has three channels; (height, width, channels) levels of 0 … 255. */
export interface Picture extends PictureHeader {
  levels: Uint8Array
}
