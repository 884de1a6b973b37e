/** Small pictures in the terminal: two pixels a character, with flagged patches framed. */
import sharp from "sharp";

/** Side of the shown picture in pixels. */
const side = 32;

export interface Frame {
  /** Rows and columns of the patch grid. */
  readonly grid: number;
  readonly patches: readonly (readonly [row: number, column: number])[];
}

/** Lines of a picture of 32 × 32 pixels, in 24-bit colour; flagged patches are tinted red. */
export async function pictureLines(
  bytes: Uint8Array,
  frame: Frame = { grid: 1, patches: [] },
): Promise<string[]> {
  const pixels = await sharp(bytes)
    .resize(side, side, { fit: "fill" })
    .removeAlpha()
    .toColourspace("srgb")
    .raw()
    .toBuffer();
  const flagged = new Set(frame.patches.map(([row, column]) => row * frame.grid + column));
  const patch = side / frame.grid;
  const colour = (x: number, y: number): string => {
    const at = (y * side + x) * 3;
    const [red = 0, green = 0, blue = 0] = pixels.subarray(at, at + 3);
    const isFlagged = flagged.has(Math.floor(y / patch) * frame.grid + Math.floor(x / patch));
    return isFlagged
      ? `${Math.round(red / 2 + 127)};${Math.round(green / 2)};${Math.round(blue / 2)}`
      : `${red};${green};${blue}`;
  };
  const lines: string[] = [];
  for (let y = 0; y < side; y += 2) {
    let line = "";
    for (let x = 0; x < side; x++) line += `\x1b[38;2;${colour(x, y)}m\x1b[48;2;${colour(x, y + 1)}m▀`;
    lines.push(`${line}\x1b[0m`);
  }
  return lines;
}

/** Puts pictures side by side, each with a caption below. */
export function sideBySide(
  pictures: readonly { readonly lines: readonly string[]; readonly caption: string }[],
): string {
  const gap = "   ";
  const height = Math.max(...pictures.map(({ lines }) => lines.length));
  const rows = Array.from({ length: height }, (_, row) =>
    pictures.map(({ lines }) => lines[row] ?? " ".repeat(side)).join(gap),
  );
  const captions = pictures.map(({ caption }) => caption.slice(0, side).padEnd(side)).join(gap);
  return [...rows, captions].map((line) => `  ${line.trimEnd()}`).join("\n");
}
