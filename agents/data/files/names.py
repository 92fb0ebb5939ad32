"""Names by which the columns of text and label are known, the surest first."""

TEXT_NAMES = (
    *("text", "message", "sms", "sentence", "review", "content", "body", "comment", "tweet", "utterance"),
    *("v2", "input", "prompt", "query", "question", "email", "document", "description", "text_raw"),
)
LABEL_NAMES = (
    *("label", "labels", "category", "class", "target", "sentiment", "intent", "topic", "tag", "type"),
    *("v1", "output", "is_spam", "spam", "rating", "stars", "y"),
)
