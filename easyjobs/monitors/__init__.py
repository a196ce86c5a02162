"""Who is told what happens: reports, the couriers that bring them, and destinations that are ready to use."""
