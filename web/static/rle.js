// COCO's run-length code of a mask, as rleToString of pycocotools' maskApi.c writes it.

/**
 * The foreground runs, each down one column.
 *
 * @param {{size: [number, number], counts: string}} rle size: height and width in px
 * @returns {Generator<{x: number, y: number, length: number}>}
 */
export function* decode({ size: [height], counts }) {
  let at = 0;
  let isForeground = false;
  for (const run of runLengths(counts)) {
    for (let left = isForeground ? run : 0, start = at; left > 0; ) {
      const y = start % height;
      const length = Math.min(left, height - y);
      yield { x: (start - y) / height, y, length };
      start += length;
      left -= length;
    }
    at += run;
    isForeground = !isForeground;
  }
}

// Five bits a character, least significant first; from the fourth number on, the difference to the last but one.
function runLengths(counts) {
  const runs = [];
  for (let i = 0; i < counts.length; ) {
    let value = 0, shift = 0, bits;
    do {
      bits = counts.charCodeAt(i++) - 48;
      value |= (bits & 0x1f) << shift;
      shift += 5;
    } while (bits & 0x20);
    if (bits & 0x10) value |= -1 << shift;
    runs.push(runs.length > 2 ? value + runs[runs.length - 2] : value);
  }
  return runs;
}
