"""Parts of learning that agents share: aligned arrays and checks of gradients."""
