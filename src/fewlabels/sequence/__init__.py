"""Token sequences: text as integers, potentials over sentences, language models that serve as noise."""
