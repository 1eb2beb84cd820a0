package app

// Said is a failure of which everything was told already: it prints nothing and ends the program with exit.
func Said(exit int) *Failure { return &Failure{Exit: exit} }
