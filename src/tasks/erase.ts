/** Instances without what some key columns stand for: the plain alternative to repairing the columns inside the model. */
import sharp from "sharp";
import { imageBytes } from "./decode-image.ts";
import { isJsonObject } from "./folder-files.ts";
import type { Size } from "./image-processor.ts";
import type { ColumnPlace } from "./task.ts";

/** The text without those tokens; their characters are counted in code points, as places are. */
export function eraseTokens(text: string, places: readonly ColumnPlace[]): string {
  const characters = [...text];
  for (const place of places) {
    if ("token" in place) characters.fill("", place.start, place.end);
  }
  return characters.join("").replace(/ {2,}/g, " ").trim();
}

/**
 * The picture with those patches painted black.
 * @param size of what the model sees, which the boxes of the places count in
 * @returns null for an instance that is no encoded picture
 */
export async function blackOut(
  instance: unknown,
  places: readonly ColumnPlace[],
  size: Size,
): Promise<{ b64: string } | null> {
  if (!isJsonObject(instance)) return null;
  const picture = sharp(imageBytes("instance", instance["b64"])).autoOrient();
  const { width, height } = (await picture.metadata()).autoOrient;
  const [across, down] = [width / size.width, height / size.height];
  const boxes = places.flatMap((place) => {
    if (!("box" in place)) return [];
    const [x, y, w, h] = place.box;
    const [left, top] = [Math.floor(x * across), Math.floor(y * down)];
    const [right, bottom] = [
      Math.min(width, Math.ceil((x + w) * across)),
      Math.min(height, Math.ceil((y + h) * down)),
    ];
    if (right <= left || bottom <= top) return [];
    const create = { width: right - left, height: bottom - top, channels: 3 as const, background: "black" };
    return [{ input: { create }, left, top }];
  });
  return { b64: (await picture.composite(boxes).png().toBuffer()).toString("base64") };
}
