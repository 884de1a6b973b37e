/** What AtPatch takes from a Hugging Face `config.json`. */
import { AtPatchError } from "../shared/errors.ts";
import { isJsonObject, type JsonObject } from "./folder-files.ts";

export type ProblemType = "single_label_classification" | "multi_label_classification" | "regression";

export interface HfConfig {
  /** Names of the classes in index order, or null when the file gives none. */
  readonly labels: readonly string[] | null;
  readonly problemType: ProblemType | null;
  /** Height and width of a patch in pixels. */
  readonly patchSize: readonly [height: number, width: number] | null;
  readonly imageSize: readonly [height: number, width: number] | null;
  /** Tokens a text model has positions for. */
  readonly maxPositions: number | null;
}

const problemTypes: readonly unknown[] = [
  "single_label_classification",
  "multi_label_classification",
  "regression",
] satisfies readonly ProblemType[];
const maxLabels = 1_000_000;

/**
 * Reads `config.json`. Keys that AtPatch does not know are the model's own business and are ignored.
 * @throws AtPatchError ATPATCH_BAD_MODEL naming the key that has an impossible value
 */
export function parseHfConfig(content: JsonObject): HfConfig {
  const problemType = content.problem_type ?? null;
  if (problemType !== null && !problemTypes.includes(problemType)) {
    throw new AtPatchError(
      "ATPATCH_BAD_MODEL",
      `config.json: problem_type: must be one of ${problemTypes.map(String).join(", ")}`,
    );
  }
  const vision = isJsonObject(content.vision_config) ? content.vision_config : {};
  return {
    labels: labelsOf(content),
    problemType: problemType as ProblemType | null,
    patchSize: pairOf(content.patch_size ?? vision.patch_size),
    imageSize: pairOf(content.image_size ?? vision.image_size),
    maxPositions: maxPositionsOf(content),
  };
}

/** RoBERTa and its kin number positions from behind the padding id, and so have fewer than their table has rows. */
function maxPositionsOf(content: JsonObject): number | null {
  const { max_position_embeddings: rows, pad_token_id: padId, model_type: type } = content;
  if (!Number.isSafeInteger(rows) || (rows as number) <= 0) return null;
  const shifted = /roberta|camembert|mpnet|longformer/.test(String(type)) && Number.isSafeInteger(padId);
  return (rows as number) - (shifted ? (padId as number) + 1 : 0);
}

function labelsOf(content: JsonObject): readonly string[] | null {
  const id2label = content.id2label;
  if (id2label === undefined || id2label === null) return null;
  if (!isJsonObject(id2label))
    throw new AtPatchError("ATPATCH_BAD_MODEL", "config.json: id2label: must be an object");
  const entries = Object.entries(id2label);
  const labels = Array.from<string | undefined>({ length: Math.min(entries.length, maxLabels) });
  for (const [id, label] of entries) {
    const index = Number(id);
    if (!/^\d+$/.test(id) || index >= labels.length || typeof label !== "string") {
      throw new AtPatchError(
        "ATPATCH_BAD_MODEL",
        `config.json: id2label: must name the classes 0 to ${entries.length - 1} by text, found key ${JSON.stringify(id)}`,
      );
    }
    labels[index] = label;
  }
  return labels.length === 0 ? null : uniqueLabels(labels as string[]);
}

/** Answers are keyed by label, so a name that comes twice (ImageNet has two "crane") gets its index. */
function uniqueLabels(labels: readonly string[]): string[] {
  const seen = new Set<string>();
  return labels.map((label, index) => {
    const unique = seen.has(label) ? `${label} #${index}` : label;
    seen.add(unique);
    return unique;
  });
}

/** A size given as a number or as [height, width]; anything else (per-stage lists) tells nothing. */
function pairOf(value: unknown): readonly [number, number] | null {
  const pair: readonly unknown[] = Array.isArray(value) ? value : [value, value];
  const [height, width] = pair;
  const good = (size: unknown): size is number => Number.isSafeInteger(size) && (size as number) > 0;
  return pair.length === 2 && good(height) && good(width) ? [height, width] : null;
}
