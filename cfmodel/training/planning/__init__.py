"""What a training will do, decided before it starts: plan, penalty, schedule and device."""
