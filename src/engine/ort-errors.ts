/** Makes messages of onnxruntime fit to be shown: without paths of the host and without positions in its C++ sources. */
import { basename } from "node:path";

/** `file.cc:12 function ` or `/src/file.h:12 void onnxruntime::F(int) const [with T = float] `, and a failed `condition was false. ` */
const sourcePosition =
  /[\w./\\-]+\.(?:h|hpp|cc|cpp|cu):\d+ (?:[^()]*\((?:[^()]|\([^()]*\))*\)(?: const)?(?: \[with [^\]]*\])? |\w+ )(?:.*? was false\. (?=\S))?/g;
const failedNode =
  /Non-zero status code returned while running (\S+) node\. Name:'([^']*)' Status Message: /g;
/** The runtime puts paths in double quotes, names of nodes in single ones or none. */
const quotedPath = /"(?:[A-Za-z]:)?[/\\][^"]*"/g;

/**
 * A message of the runtime in words that name the node, the input or the file it is about.
 * @param folder directory of the model, wherever it appears
 */
export function cleanRuntimeMessage(message: string, folder: string): string {
  return message
    .replace(quotedPath, (path) => `"${basename(path.slice(1, -1))}"`)
    .replaceAll(`${folder}/`, "")
    .replace(failedNode, (_, type: string, name: string) =>
      name === "" ? `a node of type ${type}: ` : `node "${name}" (${type}): `,
    )
    .replace(sourcePosition, "")
    .replace(/\s+/g, " ")
    .trim();
}
