package app

// Other is an App that talks to other brokers, for commands that work on two clusters at once. Everything else is
// as in a: where it reads and writes, the properties of -X, the profile that was asked for.
func (a *App) Other(brokers string) *App {
	other := *a
	other.brokers, other.found = brokers, nil
	return &other
}
