"""What turns text into numbers: embedders and rerankers, run by OpenVINO or sentence-transformers."""
