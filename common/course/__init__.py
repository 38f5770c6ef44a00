"""The course as it is run: members and their work, the leaderboard, attendance."""
