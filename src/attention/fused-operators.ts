/** Attention operators that hold their softmax inside, and why those that cannot be expanded cannot be patched. */
const reasons: Readonly<Record<string, string>> = {
  "com.microsoft.PackedAttention":
    "its rows are packed tokens of several samples, and the runtime has no CPU kernel for it",
  "com.microsoft.PackedMultiHeadAttention":
    "its rows are packed tokens of several samples, and the runtime has no CPU kernel for it",
  "com.microsoft.LongformerAttention":
    "it attends in bands, there is no map of queries and keys, and the runtime has no CPU kernel for it",
  "com.microsoft.SparseAttention": "it attends to blocks, there is no full map of queries and keys",
  "com.microsoft.LinearAttention": "it has no softmax over keys",
  "com.microsoft.PagedAttention": "its keys are kept in pages shared by samples",
  "com.microsoft.DecoderAttention": "the runtime has no CPU kernel for it",
  "com.microsoft.DecoderMaskedSelfAttention": "the runtime has no CPU kernel for it",
  "com.microsoft.DecoderMaskedMultiHeadAttention": "it decodes one token at a time from a shared cache",
  "com.microsoft.TransformerDecoder": "it holds a whole decoder in one operator",
};

const expandable = new Set([
  "Attention",
  "com.microsoft.Attention",
  "com.microsoft.MultiHeadAttention",
  "com.microsoft.GroupQueryAttention",
  "com.microsoft.QAttention",
  "com.microsoft.QLinearSoftmax",
  "com.microsoft.BiasSoftmax",
]);

/** Why the operator cannot be patched as it stands; null when it is no fused attention. */
export function fusedReason(operator: string): string | null {
  const reason = reasons[operator];
  if (reason !== undefined) return `${operator} cannot be patched: ${reason}`;
  return expandable.has(operator) ? `${operator} is fused: its map is not in the graph` : null;
}
