"""What a body does: records, layouts, extraction, graphs, encoders, events. No language model lives here."""
