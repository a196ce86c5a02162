"""The engine room of a manager: it takes jobs in, hands them out, records what became of them."""
