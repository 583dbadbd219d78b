"""Operators that have no text, each with the reason."""

REASONS = {
    "there is one kind of number: no fixed widths, bits or quantised values": """
        BitShift BitCast BitwiseAnd BitwiseOr BitwiseXor BitwiseNot Cast CastLike ConvInteger DequantizeLinear
        DynamicQuantizeLinear MatMulInteger QLinearConv QLinearMatMul QuantizeLinear""",
    "no inverse trigonometric or hyperbolic functions": "Acos Acosh Asin Asinh Atan Atanh",
    "no product along an axis, no determinant": "ReduceProd CumProd Det",
    "no complex numbers and no windows of signals": "DFT STFT BlackmanWindow HammingWindow HannWindow MelWeightMatrix",
    "shapes are known when the spec is read and are no tensors": "Shape Size NonZero Compress Unique CenterCropPad",
    "elements are not sorted, and none is written at computed places": """
        TopK NonMaxSuppression Scatter ScatterElements ScatterND TensorScatter MaxUnpool Col2Im GatherND
        ArrayFeatureExtractor""",
    "no points between points": "AffineGrid GridSample RoiAlign DeformConv",
    "no strings, sequences, maps, optional values or trees": """
        ImageDecoder LabelEncoder OptionalGetElement OptionalHasElement RegexFullMatch SequenceInsert SequenceMap
        SplitToSequence StringConcat StringNormalizer StringSplit TfIdfVectorizer TreeEnsemble Binarizer""",
    "graphs inside of nodes": "If Loop Scan",
    "updates stand in `train`; they are held against PyTorch": "Adagrad Adam Momentum",
    "random numbers are functions of seed, step and path": "Bernoulli",
    "one node for many layers, with caches and masks; the library's are held against PyTorch": """
        Attention CausalConvWithState FlexAttention LinearAttention RotaryEmbedding SwiGLU""",
}
ABSENT = {name: reason for reason, names in REASONS.items() for name in names.split()}
